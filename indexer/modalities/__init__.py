"""What a video says about itself, one folder for each modality."""
