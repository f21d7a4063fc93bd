from jaxemb.progress import progress_bar


def test_it_counts_on_stderr_or_is_silent(capsys):
    for show in (True, False):
        with progress_bar("embedding", 12, show) as advance:
            advance(5)
            advance(7)
        shown = capsys.readouterr()
        assert shown.out == ""
        assert ("12/12" in shown.err, "embedding" in shown.err) == (show, show)
