"""The dialect: how flow text is read, loaded and evaluated.  Only ``interpreter`` and its neighbours know Starlark's binding."""
