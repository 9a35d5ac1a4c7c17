"""All that supervisord asks of setuptools: a function by the name that its configuration gives it.

The whole of setuptools takes 6 MB of the container's memory for this; newer versions of supervisord do without it too.
"""

import importlib


class EntryPoint:
    """A function of a module, named as `name=module:function`."""

    def __init__(self, module, function):
        self.module = module
        self.function = function

    @classmethod
    def parse(cls, text):
        module, _, function = text.partition("=")[2].strip().partition(":")
        return cls(module, function)

    def resolve(self):
        return getattr(importlib.import_module(self.module), self.function)
