"""The extension, whose include directory is known to the installed simdrnn alone."""

from setuptools import Extension, setup

import simdrnn

setup(
    ext_modules=[
        Extension(
            "cython_audio.effect",
            ["cython_audio/effect.pyx"],
            include_dirs=[simdrnn.get_include()],
        )
    ]
)
