//! The operator's tool: keys, OS packages, signing, configuration checks, boot images, a provisioning server.
