// OHIF beside a DICOMweb server that viewer/serve.py forwards to, on one origin.
window.config = {
  routerBasename: null,
  extensions: [],
  modes: [],
  // OHIF 3.13.2 stops reading a report at the first measurement group without coordinates, such as
  // a pre-read's verdict: it takes coords[0] for granted. An empty one lets it read on.
  customizationService: [
    {
      onBeforeSRAddMeasurement: {
        $set: ({ measurement }) => {
          if (!measurement.coords.length) {
            measurement.coords = [{}];
          }
          return measurement;
        },
      },
    },
  ],
  showStudyList: true,
  maxNumberOfWebWorkers: 2,
  showWarningMessageForCrossOrigin: false,
  defaultDataSourceName: 'pacs',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'pacs',
      configuration: {
        friendlyName: 'PACS',
        name: 'pacs',
        wadoUriRoot: window.location.origin + '/dicom-web',
        qidoRoot: window.location.origin + '/dicom-web',
        wadoRoot: window.location.origin + '/dicom-web',
        qidoSupportsIncludeField: false,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        omitQuotationForMultipartRequest: true,
        bulkDataURI: { enabled: true },
      },
    },
  ],
};
