from jaxemb.parallel.chips import CHIPS
from jaxemb.planning.topology import GPUS


def test_all_gpus_have_rates():
    assert {gpu.kind for gpu in GPUS.values()} <= CHIPS.keys()
