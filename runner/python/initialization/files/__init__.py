"""A step of the SDK's older import path; nothing is here."""
