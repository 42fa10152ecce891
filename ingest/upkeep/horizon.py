"""How far behind the clock the watermark stays, so that a reading with an ordinary delay is not late."""

_LEAST_SECONDS, _MOST_SECONDS = 2.0, 20.0
# If a larger part of all readings than this is late, the watermark stays further behind.
_LATE_PART = 0.005
_BACK, _FORTH = 1.5, 0.98


class Horizon:
    """`seconds`: how far the watermark stays behind the database's clock. It grows while many readings come a little
    late, and then slowly shrinks."""

    def __init__(self) -> None:
        self.seconds = 5.0

    def learn(self, late: int, counted: int) -> None:
        """`counted`: how many readings of the last turn were in time; `late`: how many came just too late."""
        if late > _LATE_PART * (late + counted):
            self.seconds = min(self.seconds * _BACK, _MOST_SECONDS)
        else:
            self.seconds = max(self.seconds * _FORTH, _LEAST_SECONDS)
