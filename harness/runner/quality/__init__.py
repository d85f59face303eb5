"""What a level loses against its fp32 reference."""
