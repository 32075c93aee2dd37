"""Fitting a published risk score to local people: `zhuzhen risk recalibrate`."""
