"""GeoJSON as Python values: dicts, and whatever speaks `__geo_interface__`, as shapely does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


@runtime_checkable
class SupportsGeoInterface(Protocol):
    """What can say itself as GeoJSON: shapely's geometries, and those of geopandas."""

    @property
    def __geo_interface__(self) -> Mapping[str, Any]:
        """The object as GeoJSON."""


class Geometry(dict[str, Any]):
    """A GeoJSON object as a task wrote it: a dict, ready for `json.dumps`. Units are pixels."""

    @property
    def __geo_interface__(self) -> Mapping[str, Any]:
        """The object itself, for libraries that take what has this."""
        return self

    def to_shapely(self) -> BaseGeometry:
        """The geometry as an object of shapely, which must be installed.

        A Feature gives its geometry, and a Circle, which GeoJSON has as a point with a radius,
        the polygon around it. A FeatureCollection is a GeometryCollection.
        """
        from shapely.geometry import GeometryCollection, shape

        match self.get("type"):
            case "Feature":
                geometry = Geometry(self["geometry"]).to_shapely()
                radius = _circle_radius(self)
                return geometry if radius is None else geometry.buffer(radius)
            case "FeatureCollection":
                return GeometryCollection(
                    [Geometry(feature).to_shapely() for feature in self["features"]]
                )
            case _:
                return shape(self)


def _circle_radius(feature: Mapping[str, Any]) -> float | None:
    properties = feature.get("properties") or {}
    return properties["radius"] if properties.get("subType") == "Circle" else None


def as_geojson(given: object) -> object:
    """The GeoJSON of what speaks it; anything else as it is."""
    if isinstance(given, Mapping) or not isinstance(given, SupportsGeoInterface):
        return given
    return given.__geo_interface__
