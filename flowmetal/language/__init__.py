"""The dialect: how flow text is read, loaded and evaluated.  The only room that knows Starlark's binding."""
