"""What core needs from the outside; backends implement it, app hands it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from exemplar_server.core.lifecycle import LifecycleStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.core.exemplars import (
        Change,
        Delta,
        Exemplar,
        Hint,
        ItemResult,
        Listing,
        NewExemplar,
        RequestKey,
        SupportSet,
    )
    from exemplar_server.core.maps import Layout, MapFrame, MapOptions


class Session(Protocol):
    """Runs a backbone on the calling thread. Several may call it at once."""

    def run(self, images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The images' embeddings, (B, D), unit length."""
        ...


class Index(Protocol):
    """Exact nearest-neighbor search over rows that never change. Any thread may search."""

    @property
    def embeddings_ND(self) -> NDArray[np.float32]:
        """The rows, unit length, not to be written to."""
        ...

    def search(
        self, queries_QD: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Similarities (Q, K), best first, and row numbers (Q, K); K = min(k, rows)."""
        ...


class IndexFactory(Protocol):
    def __call__(self, embeddings_ND: NDArray[np.float32]) -> Index: ...


class ApproximateIndex(Protocol):
    """Finds most of the nearest rows, much faster. Any thread may search."""

    @property
    def size_bytes(self) -> int: ...

    def search(self, queries_QD: NDArray[np.float32], count: int, probes: int) -> NDArray[np.int64]:
        """Row numbers (Q, count) of candidates, -1 where there are fewer.

        `probes` of the lists that the rows are kept in are looked through: more find more.
        """
        ...


class ApproximateFactory(Protocol):
    """May take a minute a million rows."""

    def __call__(self, embeddings_ND: NDArray[np.float32]) -> ApproximateIndex: ...


class Store(LifecycleStore, Protocol):
    """The truth. A mutation that returned is on disk; each is one transaction.

    Every method raises StoreUnavailableError when the disk refuses. Methods that take a `name`
    raise NotFoundError when the tenant has no such support set.
    """

    async def create(
        self,
        tenant: str,
        name: str,
        *,
        backbone: str,
        fingerprint: str,
        dim: int,
        keep_images: bool,
        key: RequestKey,
    ) -> SupportSet:
        """Raises AlreadyExistsError when the name is taken."""
        ...

    async def get(self, tenant: str, name: str) -> SupportSet:
        """Without its label counts."""
        ...

    async def describe(self, tenant: str, name: str) -> tuple[SupportSet, dict[str, int]]:
        """The support set, and its exemplars a label by label, of one moment."""
        ...

    async def page(self, tenant: str, after: str, count: int) -> list[SupportSet]:
        """Up to `count` support sets with names above `after`, by name."""
        ...

    async def delete(
        self, tenant: str, name: str, *, expected_revision: int | None, key: RequestKey
    ) -> Change: ...

    async def replay(self, tenant: str, key: RequestKey) -> Change | None:
        """The answer that `key` got before.

        Raises:
            RequestIdReusedError: the id was used for another request.
        """
        ...

    async def add(
        self,
        tenant: str,
        support_set: SupportSet,
        exemplars: Sequence[NewExemplar | ItemResult],
        *,
        all_or_nothing: bool,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        """Adds the NewExemplars; ItemResults are failures that keep their place in the answer.

        Raises:
            FingerprintMismatchError: `support_set` was switched to another backbone meanwhile.
        """
        ...

    async def remove(
        self,
        tenant: str,
        name: str,
        exemplar_ids: Sequence[str],
        *,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change: ...

    async def exemplars(
        self, tenant: str, name: str, listing: Listing
    ) -> tuple[SupportSet, list[Exemplar]]:
        """The support set and the listed exemplars by id, of one moment."""
        ...

    async def delta(self, tenant: str, name: str, incarnation: str, revision: int) -> Delta:
        """What changed after `revision` of `incarnation`; all, if another is current.

        Of one embedding space, the current one: where that is another one than at `revision`, only
        all is of use, as for an empty `incarnation`.
        """
        ...

    async def images(self, incarnation: str, exemplar_ids: Sequence[str]) -> dict[str, bytes]:
        """The kept images, by exemplar id."""
        ...

    async def epoch(self) -> str:
        """Another one than before: a backup was restored, and revisions may have gone back."""
        ...

    async def revisions(self, incarnations: Collection[str]) -> dict[str, int]:
        """The current revision of each that is still there, of one moment.

        An incarnation that is missing is over, whatever now has its name. Asking for what is
        cached again and again is what keeps replicas up to date; hints only make it sooner.
        """
        ...

    def hints(self) -> AsyncGenerator[Hint | None]:
        """What was changed by anyone, this server included, soon after; None: anything may be.

        None comes first, and each time that hints may have been lost. Hints come in any order,
        more than once, and late; some never come. Ends at once where no other server can change
        the store. Closing the iterator ends it.
        """
        ...


class MapMaker(Protocol):
    """Lays embeddings out in the plane, outside this process."""

    def compute(
        self,
        embeddings_ND: NDArray[np.float32],
        codes_N: NDArray[np.int32],
        options: MapOptions,
    ) -> AsyncGenerator[MapFrame | Layout]:
        """Progress frames, then the layout. Closing the iterator stops the work.

        `codes_N` numbers the labels, -1 for none.
        """
        ...

    async def place(
        self,
        embeddings_ND: NDArray[np.float32],
        points_N2: NDArray[np.float32],
        queries_QD: NDArray[np.float32],
        perplexity: float,
    ) -> NDArray[np.float32]:
        """A place (Q, 2) for each query among points that stay. Cancelling it stops the work."""
        ...
