"""The project as a generator of FuseSoC: this folder is a library of cores."""
