"""Ctrl-C in good order: a long training ends after a step, never in the middle of one.

Used by `training` and so by every notebook.
"""

import signal
import threading


class StopBetweenSteps:
    """Lets Ctrl-C wait for the end of a step, such as a batch, until `end` is called.

    In the middle of one it would tear Paddle's loading thread, which now and then aborts the whole process. Who
    presses twice does not wait. Outside the main thread, where no signal arrives, it does nothing.

    Example:
        >>> stopping = StopBetweenSteps()
        >>> signal.raise_signal(signal.SIGINT)  # Ctrl-C: nothing happens yet
        >>> try:
        ...     stopping.ask()
        ... except KeyboardInterrupt:
        ...     print("stopped")
        ... finally:
        ...     stopping.end()
        stopped

    Used by the training of every notebook.
    """

    def __init__(self):
        self._pressed, self._before = 0, None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note) or signal.default_int_handler

    def _note(self, *_) -> None:
        self._pressed += 1
        if self._pressed > 1:
            raise KeyboardInterrupt

    def ask(self) -> None:
        """Stop here, if Ctrl-C was pressed; call it where stopping does no harm.

        Raises:
            KeyboardInterrupt: If it was.
        """
        if self._pressed:
            raise KeyboardInterrupt

    def end(self) -> None:
        """Give Ctrl-C back its meaning."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
