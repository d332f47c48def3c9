"""The shelf of augmenters: each makes new training rows out of training rows, see `core.protocols.Maker`."""
