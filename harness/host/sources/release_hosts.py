"""Whether the hosts answer that a release comes from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from harness.errors import HarnessError
from harness.host.sources import download, mirrors, network_errors, pins, release_tools
from harness.host.sources.pins import Reference

TIMEOUT_S = 4.0


def addresses() -> tuple[str, ...]:
    """The hosts' URLs, or those of the mirrors that stand for them."""
    pinned, where = pins.load(), mirrors.load()
    tools = [where.url(getattr(pinned, name).url) for name in release_tools.NAMES]
    images = [
        where.registry(Reference.parse(reference).registry)[0]
        for reference in pinned.images.model_dump().values()
    ]
    found = [f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in (*tools, *images)]
    return tuple(dict.fromkeys(found))


def silent() -> tuple[HarnessError, ...]:
    """Why each host that does not answer can't be reached; any answer will do, and all are asked at once."""
    hosts = addresses()
    with ThreadPoolExecutor(max_workers=len(hosts)) as executor:
        return tuple(error for error in executor.map(_problem, hosts) if error is not None)


def _problem(url: str) -> HarnessError | None:
    import httpx2

    try:
        with download.client() as http:
            http.head(url, timeout=TIMEOUT_S, follow_redirects=False)
    except HarnessError as error:  # proxy settings that can't be used
        return error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return network_errors.unreachable(url, error)
    return None
