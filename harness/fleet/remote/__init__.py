"""One machine over ssh or adb: what is pushed, run there and pulled back."""
