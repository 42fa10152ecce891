"""How far behind the clock the watermark stays, so that ordinary delay is not lateness."""

_LEAST_SECONDS, _MOST_SECONDS = 2.0, 20.0
# More late readings than this among all: stay further behind.
_LATE_PART = 0.005
_BACK, _FORTH = 1.5, 0.98


class Horizon:
    """`seconds` behind the database's clock: more while many readings come a little late, then slowly less again."""

    def __init__(self) -> None:
        self.seconds = 5.0

    def learn(self, late: int, counted: int) -> None:
        """Of the readings of the last turn, so many were counted in time and so many came just too late."""
        if late > _LATE_PART * (late + counted):
            self.seconds = min(self.seconds * _BACK, _MOST_SECONDS)
        else:
            self.seconds = max(self.seconds * _FORTH, _LEAST_SECONDS)
