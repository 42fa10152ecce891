from ingest.upkeep.horizon import Horizon


def test_the_watermark_stays_further_behind_while_much_is_late() -> None:
    horizon = Horizon()
    for _ in range(10):
        horizon.learn(late=100, counted=1000)
    assert horizon.seconds == 20.0
    for _ in range(500):
        horizon.learn(late=1, counted=1000)
    assert horizon.seconds == 2.0


def test_nothing_late_of_nothing_is_not_much() -> None:
    horizon = Horizon()
    horizon.learn(late=0, counted=0)
    assert horizon.seconds < 5.0
