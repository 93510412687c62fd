//! OS packages: descriptor, archive and manifest; create, sign, open.
