"""Published risk scores: equations as data and vectorised kernels, checked inputs, assessments."""
