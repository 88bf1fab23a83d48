"""The groups that wait for a place, in the order of their ranks. No torch here."""

from heapq import heappop, heappush

from potstill.engine.group import Group


class WaitingQueue:
    """A group that was put out comes back to its old place, before all that came later."""

    def __init__(self) -> None:
        self._heap: list[tuple[tuple[int, int], Group]] = []
        self._groups: dict[int, Group] = {}  # by arrival; the heap may hold some that are gone

    def __len__(self) -> int:
        return len(self._groups)

    def __contains__(self, group: Group) -> bool:
        return group.arrival in self._groups

    def push(self, group: Group) -> None:
        self._groups[group.arrival] = group
        heappush(self._heap, (group.rank, group))

    def first(self) -> Group | None:
        while self._heap:
            group = self._heap[0][1]
            if group.arrival in self._groups:
                return group
            heappop(self._heap)
        return None

    def remove(self, group: Group) -> None:
        """It must be waiting."""
        del self._groups[group.arrival]
        if self._heap[0][1] is group:
            heappop(self._heap)

    def clear(self) -> None:
        self._heap.clear()
        self._groups.clear()
