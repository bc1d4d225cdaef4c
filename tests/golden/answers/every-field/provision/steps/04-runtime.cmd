@"%~dp004-runtime\file.exe" /install "/log:C:\my logs\\" "a&b" "50%%"
