//! Loads plugins, builds sessions, runs plans, trains, evaluates; the program anyflow-engine
