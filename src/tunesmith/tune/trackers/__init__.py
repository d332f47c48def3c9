"""Places that curves are sent to while a training runs; none unless the project file names one."""
