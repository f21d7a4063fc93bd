"""How many texts are longer than `data.max_length`, and how much of them is cut off."""

import dataclasses
from collections.abc import Mapping

WARN_ABOVE = 0.01
"""Share of the texts."""
_NAMED = 3


@dataclasses.dataclass
class Cut:
    """Counts of one language, without special tokens."""

    texts: int = 0
    """Texts of the training examples."""
    cut_texts: int = 0
    """Number of texts longer than `data.max_length`."""
    tokens: int = 0
    """Tokens of all texts, before they are cut."""
    cut_tokens: int = 0
    """Tokens that are cut off."""

    def add(self, kept: int, cut: int) -> None:
        """Counts one text."""
        self.texts += 1
        self.cut_texts += cut > 0
        self.tokens += kept + cut
        self.cut_tokens += cut

    def __add__(self, other: "Cut") -> "Cut":
        return Cut(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    @property
    def share(self) -> float:
        """Share of the texts that are cut."""
        return self.cut_texts / max(self.texts, 1)

    @property
    def token_share(self) -> float:
        """Share of the tokens that are cut off."""
        return self.cut_tokens / max(self.tokens, 1)


def describe_cut(cut: Mapping[str, Cut], max_length: int) -> str:
    r"""One line on how much was cut; a warning if it is more than 1 % of the texts, in total or in one language.

    >>> print(describe_cut({"de": Cut(200, 3, 2000, 50), "fr": Cut(200, 0, 2000, 0)}, 64).replace(", ", ",\n"))
    warning: data.max_length = 64 cuts 0.8% of the texts (1.2% of the tokens),
    in de 1.5% (2.5%); a larger max_length cuts less
    """
    whole = sum(cut.values(), Cut())
    above = sorted((name for name, one in cut.items() if one.share > WARN_ABOVE), key=lambda name: -cut[name].share)
    line = f"data.max_length = {max_length} cuts {whole.share:.1%} of the texts ({whole.token_share:.1%} of the tokens)"
    named = ", ".join(f"{name} {cut[name].share:.1%} ({cut[name].token_share:.1%})" for name in above[:_NAMED])
    more = f" and {len(above) - _NAMED} more languages" if len(above) > _NAMED else ""
    return f"warning: {line}, in {named}{more}; a larger max_length cuts less" if above else line
