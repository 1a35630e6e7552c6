//! Translated addresses (NAT): what connection tracking of the kernel says of a connection.

mod entry;
mod find;
mod message;
mod request;
mod table;
mod way;
