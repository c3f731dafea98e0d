"""The way from programs that XLA compiled to the engine."""

handler: object
