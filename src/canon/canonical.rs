//! JSON written in one way only: object keys sorted, numbers normalised, text untouched.
