//! What translations cost.
