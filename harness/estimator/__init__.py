"""What is predicted from parameters, structure and calibration."""
