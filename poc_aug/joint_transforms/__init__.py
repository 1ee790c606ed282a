"""joint_transforms."""
