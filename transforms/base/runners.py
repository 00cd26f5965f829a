"""Names of Beam's runners that run on the local machine."""

#: Runners whose workers are threads of the launching process.
IN_PROCESS = ("DirectRunner", "SwitchingDirectRunner", "FnApiRunner", "BundleBasedDirectRunner")
#: Runners whose workers are on the launching machine.
LOCAL = (*IN_PROCESS, "PrismRunner")
