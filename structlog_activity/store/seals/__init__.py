"""What proves that nothing was changed: seals of batches, checkpoints, and who checks them."""
