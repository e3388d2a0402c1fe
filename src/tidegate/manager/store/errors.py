"""What may be wrong with the database."""


class StoreError(Exception):
    """The database cannot be used as it is; the message says what to do."""


class StoreUnavailableError(StoreError):
    """The database is locked, gone or full; what was asked for was not done, and may be tried again.

    `for_all`: whatever else is asked for now would fare the same. Else it may be a matter of this transaction.
    `is_full`: what was to be written has no room on its disk; less than that still may have.
    """

    def __init__(self, message: str, *, retry_after_s: int = 5, for_all: bool = True, is_full: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.for_all = for_all
        self.is_full = is_full
