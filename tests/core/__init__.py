"""The pure C core, compiled a second time through cffi: units, interleavings and stress."""
