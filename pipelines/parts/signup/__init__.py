"""What new_user_signup is made of: its records, the match of sign-ups with confirmations, the texts of its mails."""
