# cython: language_level=3, boundscheck=False, wraparound=False
"""An effect with feedback: what a sample becomes is part of what the next one is made of.

Such a loop cannot be a call over the whole sequence, and in Python it would take microseconds a
sample. Here a sample is a step in C, without the GIL and without the interpreter.
"""

cimport simdrnn

simdrnn.import_simdrnn()


cdef class Effect:
    """wet = network(dry + feedback * the wet sample before), mixed with the dry sound.

    Parameters
    ----------
    model : a layer, stack or chain of simdrnn with one input and one output, in float32.
    feedback : how much of the output comes back.
    mix : from 0, dry, to 1, wet.
    """

    cdef simdrnn.stream *stream
    cdef float feedback, mix, before

    def __cinit__(self, model, float feedback=0.0, float mix=1.0):
        cdef simdrnn.info info
        handle = model.c_handle()
        cdef const simdrnn.model *opened = simdrnn.model_of(handle)
        simdrnn.model_info(opened, &info)
        if info.input_size != 1 or info.output_size != 1 or info.dtype != simdrnn.FLOAT32:
            raise ValueError(
                "model: expected one input and one output in float32, got "
                f"{info.input_size} and {info.output_size}"
            )
        # The stream keeps what it needs of the model: the handle may go.
        if simdrnn.stream_open(opened, 1, 1, &self.stream) != simdrnn.OK:
            raise ValueError(simdrnn.last_error().decode())
        self.feedback, self.mix, self.before = feedback, mix, 0.0

    def __dealloc__(self):
        simdrnn.stream_close(self.stream)

    def reset(self):
        """Begin again, as if nothing had been heard."""
        simdrnn.reset(self.stream, NULL, 0)
        self.before = 0.0

    def process(self, const float[::1] dry, float[::1] wet):
        """Write a block of samples; blocks of any length sound the same."""
        if dry.shape[0] != wet.shape[0]:
            raise ValueError(f"wet: expected {dry.shape[0]} samples, got {wet.shape[0]}")
        cdef simdrnn.status status = simdrnn.OK
        with nogil:
            status = self.run(dry, wet)
        if status != simdrnn.OK:
            raise ValueError(simdrnn.last_error().decode())

    cdef simdrnn.status run(self, const float[::1] dry, float[::1] wet) noexcept nogil:
        cdef Py_ssize_t t
        cdef float given, made
        cdef simdrnn.status status
        for t in range(dry.shape[0]):
            given = dry[t] + self.feedback * self.before
            status = simdrnn.step_f32(self.stream, &given, &made)
            if status != simdrnn.OK:
                return status
            self.before = made
            wet[t] = dry[t] + self.mix * (made - dry[t])
        return simdrnn.OK
