"""The parts of new_user_signup: its records, the match of sign-ups with confirmations, its texts."""
