//! The nodes that the configuration lists.

use ferrosync_client::cmap::{Cmap, Error};
use ferrosync_client::{NodeId, Value};

/// A node of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: NodeId,
    /// Its `name`, where it has one.
    pub(crate) name: Option<String>,
}

/// The list, in the order of the map. Nodes without an id are left out, as C's tools do.
///
/// # Errors
/// When the daemon does not let us look.
pub(crate) fn nodelist(cmap: &mut Cmap) -> Result<Vec<Listed>, Error> {
    // An iteration that breaks off is at its end.
    let entries = cmap.iterate("nodelist.node.")?.map_while(Result::ok);
    let keys: Vec<String> = entries.map(|entry| entry.key).collect();
    let places = keys.iter().filter_map(|key| place(key));
    let mut listed = Vec::new();
    for place in places {
        let Ok(Value::U32(id)) = cmap.get(&format!("nodelist.node.{place}.nodeid")) else {
            continue;
        };
        let name = cmap.get(&format!("nodelist.node.{place}.name")).ok();
        listed.push(Listed {
            id: NodeId(id),
            name: name.as_ref().and_then(Value::as_str).map(str::to_owned),
        });
    }
    Ok(listed)
}

/// N of `nodelist.node.N.nodeid`.
fn place(key: &str) -> Option<u32> {
    let rest = key.strip_prefix("nodelist.node.")?;
    rest.strip_suffix(".nodeid")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_ids_have_places() {
        assert_eq!(place("nodelist.node.12.nodeid"), Some(12));
        for key in [
            "nodelist.node.12.name",
            "nodelist.node.x.nodeid",
            "nodelist.local_node_pos",
        ] {
            assert_eq!(place(key), None, "{key}");
        }
    }
}
