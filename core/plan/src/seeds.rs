//! Seeds of nodes that draw noise.
//!
//! Noise belongs to a seed, a row and a stream. Two nodes with one seed that generate one stream have the same noise, so
//! that a node without a seed of its own gets one that no other node has.

use std::iter::once;

/// A node that draws noise.
#[derive(Clone, Copy, Debug)]
pub struct Drawing<'n> {
    /// Its name.
    pub node: &'n str,
    /// The seed that is written for it.
    pub written: Option<u64>,
}

/// The seeds of nodes in their order. A written seed stays. Of the others, the first has the base, unless it is written for
/// another node, and each further one has a seed made of the base and its name.
pub fn of_nodes(base: u64, nodes: &[Drawing]) -> Vec<u64> {
    let is_written = nodes.iter().any(|drawing| drawing.written == Some(base));
    let first = nodes.iter().position(|drawing| drawing.written.is_none()).filter(|_| !is_written);
    let seed = |(index, drawing): (usize, &Drawing)| match drawing.written {
        Some(written) => written,
        None if first == Some(index) => base,
        None => of_name(base, drawing.node),
    };
    nodes.iter().enumerate().map(seed).collect()
}

/// A seed made of another one and a name: FNV-1a (Fowler, Noll and Vo) over the bytes of both, mixed by the last steps of
/// SplitMix64 (Steele et al. 2014).
fn of_name(base: u64, name: &str) -> u64 {
    let bytes = base.to_le_bytes().into_iter().chain(name.bytes()).chain(once(0));
    let hash = bytes
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(base: u64, nodes: &[(&str, Option<u64>)]) -> Vec<u64> {
        let nodes: Vec<_> = nodes.iter().map(|(node, written)| Drawing { node, written: *written }).collect();
        of_nodes(base, &nodes)
    }

    #[test]
    fn a_single_node_has_the_base_and_others_have_seeds_of_their_names() {
        assert_eq!(seeds(0, &[("a", None)]), [0]);
        assert_eq!(seeds(7, &[("a", None), ("b", Some(7))])[1], 7);
        let three = seeds(5, &[("a", None), ("b", None), ("c", None)]);
        assert_eq!(three[0], 5);
        assert!(three[1] != three[2] && !three[1..].contains(&5), "{three:?}");
        // Another node before or after it does not change the seed of a name.
        assert_eq!(seeds(5, &[("z", None), ("c", None)])[1], three[2]);
        assert_ne!(seeds(6, &[("z", None), ("c", None)])[1], three[2]);
    }

    #[test]
    fn a_written_seed_stays_and_is_given_to_no_other_node() {
        let found = seeds(0, &[("a", None), ("b", Some(0)), ("c", Some(9))]);
        assert_eq!(found[1..], [0, 9]);
        assert!(![0, 9].contains(&found[0]), "{found:?}");
    }

    /// Outputs depend on these numbers.
    #[test]
    fn seeds_of_names_never_change() {
        assert_eq!(
            [of_name(0, "made"), of_name(1, "made"), of_name(0, "")],
            [0x7932_377F_5226_C17F, 0xF46A_CA89_C455_3B48, 0xFFB6_EEC3_623E_EE72]
        );
    }
}
