"""Orders, what customers read of them, and how it reaches them: plain functions, without Beam."""
