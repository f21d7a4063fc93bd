from jaxemb.training.loop.losses import LossByObjective


def test_means_by_objective_since_the_last_line():
    losses = LossByObjective()
    for name, loss in (("a", 1.0), ("b", 5.0), ("a", 4.0), ("b", float("nan"))):
        losses.add(name, loss)
    assert losses.means() == {"loss/a": 2.5, "loss/b": 5.0}
    assert losses.means() == {}
    losses.add("b", 2.0)
    assert losses.means() == {"loss/b": 2.0}
