//! The users service: asks PostgreSQL how many users have an e-mail, by REST and by gRPC, on one
//! address.
