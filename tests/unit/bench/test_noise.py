from bench.noise import BusyLoop, other_work


def test_what_the_cpus_do_is_a_part_of_them() -> None:
    assert 0.0 <= other_work(0.05) <= 1.0


def test_a_calibrated_loop_takes_about_its_time() -> None:
    assert 0.0005 < min(BusyLoop.calibrated().run() for _ in range(5)) < 0.02
