"""What the differential tests have done: arrays by peer, selections by kind, and differences."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts of one run of the tests."""

    arrays: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    selections: Counter[str] = field(default_factory=Counter)
    differences: int = 0

    def line(self) -> str:
        arrays = ", ".join(f"{writer} {count}" for writer, count in self.arrays.items())
        written = ", ".join(f"{writer} {count}" for writer, count in self.written.items())
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.selections.items())
        return (
            f"interop: {self.arrays.total()} arrays ({arrays}); "
            f"{self.selections.total()} selections ({kinds}); {self.written.total()} written by azarr ({written}); {self.differences} differences"
        )
