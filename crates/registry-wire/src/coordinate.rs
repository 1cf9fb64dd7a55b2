//! Network coordinates as `/v1/coordinate` shows them, and the round trip that two of them mean.
//!
//! The model is Vivaldi's (Dabek et al., 2004): points in a space whose distances are round trips in seconds, with a
//! height for what a node adds to every trip and an adjustment for what the space cannot express.

use serde::{Deserialize, Serialize};

/// How many dimensions the space has.
pub const DIMENSIONS: usize = 8;
/// The error of a coordinate that nothing has confirmed yet.
pub const ERROR_MAX: f64 = 1.5;
/// The smallest height, in seconds: no two nodes are at one place.
pub const HEIGHT_MIN: f64 = 1e-5;

/// Where a node is: `{"Vec":[0,0,0,0,0,0,0,0],"Error":1.5,"Adjustment":0,"Height":0.00001}`; all in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Coordinate {
    /// The point; of use only with [`DIMENSIONS`] numbers.
    pub vec: Vec<f64>,
    /// How far it may be off, relative to the distance; 1.5 at first.
    pub error: f64,
    /// What measured trips are longer or shorter than the space says, half of it on either side.
    pub adjustment: f64,
    /// What the node adds to every trip.
    pub height: f64,
}

impl Coordinate {
    /// Where every node starts.
    pub fn origin() -> Self {
        Self { vec: vec![0.0; DIMENSIONS], error: ERROR_MAX, adjustment: 0.0, height: HEIGHT_MIN }
    }

    /// Whether it has the right number of dimensions and nothing but numbers.
    pub fn is_valid(&self) -> bool {
        let numbers = self.vec.iter().chain([&self.error, &self.adjustment, &self.height]);
        self.vec.len() == DIMENSIONS && numbers.into_iter().all(|number| number.is_finite())
    }

    /// The round trip to another node in seconds, as Consul's documentation computes it ("Network Coordinates").
    pub fn distance(&self, other: &Self) -> f64 {
        let raw = self.raw_distance(other);
        let adjusted = raw + self.adjustment + other.adjustment;
        if adjusted > 0.0 { adjusted } else { raw }
    }

    /// The same without the adjustments.
    pub fn raw_distance(&self, other: &Self) -> f64 {
        let squares = self.vec.iter().zip(&other.vec).map(|(a, b)| (a - b) * (a - b));
        squares.sum::<f64>().sqrt() + self.height + other.height
    }
}

/// A node's coordinate, as `/v1/coordinate/nodes` lists it and as the body of `PUT /v1/coordinate/update`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeCoordinate {
    /// The node's name.
    pub node: String,
    /// The network segment; empty is the usual one.
    pub segment: String,
    /// Where it is.
    pub coord: Coordinate,
}

/// The coordinates of a datacenter's servers, as `/v1/coordinate/datacenters` lists them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DatacenterCoordinates {
    /// The datacenter.
    pub datacenter: String,
    /// `wan`.
    #[serde(rename = "AreaID")]
    pub area_id: String,
    /// Its servers.
    pub coordinates: Vec<NodeCoordinate>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f64, height: f64, adjustment: f64) -> Coordinate {
        let mut here = Coordinate { height, adjustment, ..Coordinate::origin() };
        here.vec[0] = x;
        here
    }

    #[test]
    fn distances_have_heights_and_adjustments_but_are_never_negative() {
        assert!((at(0.001, 0.0001, 0.0).distance(&at(0.004, 0.0002, 0.0)) - 0.0033).abs() < 1e-12);
        assert!((at(0.0, 0.001, 0.002).distance(&at(0.003, 0.001, -0.001)) - 0.006).abs() < 1e-12);
        assert!((at(0.0, 0.001, -0.5).distance(&at(0.0, 0.001, 0.0)) - 0.002).abs() < 1e-12);
    }

    #[test]
    fn coordinates_of_another_space_are_not_valid() {
        assert!(Coordinate::origin().is_valid());
        assert!(!Coordinate { vec: vec![1.0], ..Coordinate::origin() }.is_valid());
        assert!(!Coordinate { height: f64::NAN, ..Coordinate::origin() }.is_valid());
        assert_eq!(
            String::from_utf8(crate::json::to_vec(&Coordinate::origin())).unwrap(),
            r#"{"Vec":[0,0,0,0,0,0,0,0],"Error":1.5,"Adjustment":0,"Height":0.00001}"#
        );
    }
}
