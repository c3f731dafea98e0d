"""An effect that runs a recurrent network sample by sample."""

from cython_audio.effect import Effect

__all__ = ["Effect"]
