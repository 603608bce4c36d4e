"""What to say when a package that an adapter is for is not installed."""


def missing(extra: str, error: ImportError) -> ImportError:
    """Return the error that names the extra to install.

    Parameters
    ----------
    extra : str
        The extra of this package that brings what is missing.
    error : ImportError
        What the import of the package raised.
    """
    return ImportError(
        f"interp_executor.contrib.{extra} needs {error.name or extra}, which cannot be imported "
        f"({error}): pip install 'interp-executor[{extra}]'",
        name=error.name,
    )
