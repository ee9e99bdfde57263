//! The facts about a U-shaped MLP.

use super::{Architecture, Misfit, UnetMlp};

impl Architecture for UnetMlp {
    fn misfits(&self, _attends: bool) -> Vec<Misfit> {
        Misfit::of_divisor("groups", self.groups, "width", self.width).into_iter().collect()
    }

    fn can_attend(&self) -> bool {
        false
    }
}
