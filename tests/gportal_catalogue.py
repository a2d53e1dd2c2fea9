"""The catalogue of the stand-in of G-Portal: products as GeoJSON over HTTP; see gportal_server.py."""

import json
import select
import socket
import struct
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from gportal_faults import Faults

DATASET_ID = "11001001"  # L1B
ADDRESS = "https://gportal.jaxa.jp/download/"
PAGE = b"<!DOCTYPE html><html><body>Service temporarily unavailable</body></html>"
WHOLE_EARTH = (-180.0, -90.0, 180.0, 90.0)


def utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _said(moment: datetime) -> str:
    return utc(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Product:
    """What the catalogue lists: times in UTC, size in bytes, extent as west, south, east, north."""

    granule_id: str
    start: datetime
    end: datetime
    ascending: bool
    size: int
    version: str = "2"
    extent: tuple[float, float, float, float] | None = None  # None: every box meets it
    dataset: str = DATASET_ID

    @property
    def path(self) -> str:
        """Path on the SFTP server, from its root."""
        month = utc(self.start).strftime("%Y/%m")
        return f"standard/GCOM-W/GCOM-W.AMSR2/L1B/{self.version}/{month}/{self.granule_id}.h5"


def products_in(folder: Path) -> list[Product]:
    """Products of the granules in a folder, as far as their names and sizes tell."""
    found = []
    for path in sorted(folder.glob("GW1AM2_*.h5")):
        start = datetime.strptime(path.stem[7:19], "%Y%m%d%H%M").replace(tzinfo=UTC)
        end = start + timedelta(minutes=49.4)
        found.append(Product(path.stem, start, end, path.stem[23:24] == "A", path.stat().st_size))
    return found


def feature(product: Product) -> dict:
    """A product as GeoJSON, with the properties of a real one: every value is a string."""
    west, south, east, north = product.extent or WHOLE_EARTH
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    fields = product.granule_id.split("_")
    path_number = fields[2][:3] if len(fields) > 3 else "001"
    algorithm, parameter = (fields[-1][1:4], fields[-1][4:7]) if len(fields) > 3 else ("220", "220")
    page = f"https://gportal.jaxa.jp/browse/{product.path.removesuffix('.h5')}"
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "identifier": product.granule_id,
            "acquisitionType": "NOMINAL",
            "processingDate": _said(product.end + timedelta(hours=3)),
            "processingLevel": "AMSR2-L1B",
            "processorVersion": f"{algorithm},{parameter}",
            "status": "ARCHIVED",
            "beginPosition": _said(product.start),
            "endPosition": _said(product.end),
            "platformShortName": "GCOM-W1",
            "instrumentShortName": "AMSR2",
            "wrsLongitudeGrid": path_number,
            "lastOrbitNumber": "40552",
            "ascendingNodeDate": _said(product.start),
            "ascendingNodeLongitude": "-12.34",
            "multiExtentOf": " ".join(f"{lon} {lat}" for lon, lat in ring),
            "product": {
                "fileName": ADDRESS + product.path,
                "size": str(product.size),
                "version": product.version,
            },
            "browse": [
                {"type": "THUMBNAIL", "fileName": page + "_thumb.png"},
                {"type": "QUICKLOOK", "fileName": page + ".png"},
            ],
            "gpp": {
                "datasetId": product.dataset,
                "totalQualityCode": "Good",
                "physicalQuantity": "Brightness Temperature",
                "parameterVersion": parameter,
                "algorithmVersion": algorithm,
                "numberMissingData": "0",
                "startPathNumber": path_number,
                "endPathNumber": path_number,
                "orbitDirection": "Ascending" if product.ascending else "Descending",
                "pseq": "",
                "hasProduct": "true",
            },
        },
    }


def matches(product: Product, query: dict[str, str]) -> bool:
    """Whether a product overlaps the asked span and box; unknown parameters change nothing."""

    def asked(key: str) -> datetime:
        return utc(datetime.fromisoformat(query[key]))

    if "datasetId" in query and product.dataset not in query["datasetId"].split(","):
        return False
    if "startTime" in query and utc(product.end) < asked("startTime"):
        return False
    if "endTime" in query and utc(product.start) > asked("endTime"):
        return False
    if "bbox" in query and product.extent is not None:
        west, south, east, north = (float(value) for value in query["bbox"].split(","))
        left, low, right, high = product.extent
        return left <= east and right >= west and low <= north and high >= south
    return True


def peer_gone(connection: socket.socket) -> bool:
    """Whether the other side has closed, without reading anything."""
    try:
        waiting = select.poll()
        waiting.register(connection, select.POLLRDHUP)
        return bool(waiting.poll(0))
    except (OSError, ValueError):
        return True


class Portal(Protocol):
    """What the catalogue needs to know."""

    products: list[Product]
    requests: list[tuple]
    faults: Faults
    closing: threading.Event


class CatalogueServer(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them
    request_queue_size = 64

    def __init__(self, portal: Portal):
        super().__init__(("127.0.0.1", 0), Catalogue)
        self.portal = portal

    def handle_error(self, request, client_address):
        pass  # a client that went away is part of the tests


class Catalogue(BaseHTTPRequestHandler):
    server: "CatalogueServer"
    timeout = 1.0  # of a client that connects and asks nothing
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def do_GET(self):
        address = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        portal = self.server.portal
        if address.path != "/csw/csw":
            self.reply(404, b"not here", "text/plain")
            return
        portal.requests.append(("search", query))
        answer = portal.faults.answer(numbers_only=query.get("count") == "0")
        if answer == "hang":
            while not portal.closing.wait(0.02) and not peer_gone(self.connection):
                pass
        elif answer == "drop":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif answer == "html":
            self.reply(200, PAGE, "text/html")
        elif isinstance(answer, int):
            self.reply(answer, PAGE, "text/html")
        else:
            self.found(query, empty=answer == "empty_page")

    def found(self, query: dict[str, str], *, empty: bool) -> None:
        try:
            if query.get("service") != "CSW" or query.get("request") != "GetRecords":
                raise ValueError("service=CSW and request=GetRecords are needed")
            count, first = int(query.get("count", "10")), int(query.get("startIndex", "1"))
            hits = [product for product in self.server.portal.products if matches(product, query)]
        except ValueError as error:
            self.reply(400, str(error).encode(), "text/plain")
            return
        page = [] if empty else [feature(product) for product in hits[first - 1 :][:count]]
        numbers = {"numberOfRecordsMatched": len(hits), "numberOfRecordsReturned": len(page)}
        body = {"type": "FeatureCollection", "properties": numbers, "features": page}
        self.reply(200, json.dumps(body).encode(), "application/json")

    def reply(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
