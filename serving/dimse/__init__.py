"""DICOM over the network as hospitals send it: the listener for C-ECHO and C-STORE (PS3.7, PS3.8).

Associations are negotiated with pynetdicom's protocol units. What comes after, thousands of times
for each of them, is read by this package itself: the fragments of a data set go from the socket
into one buffer, once, and are handed on as they came.
"""
